-- What comes to an open port: garbage, silence, floods, dying peers. Each while another client keeps getting answers.
local sh = require "spec.support.sh"
local tcp = require "spec.support.tcp"
local loop = require "spec.support.loop"
local process = require "spec.support.process"

local preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
local settings = "\0\0\0\4\0\0\0\0\0"

local function frame(kind, flags, stream, payload)
  return string.pack(">I3BBI4", #payload, kind, flags, stream) .. payload
end

-- A literal header field without indexing and without Huffman coding (RFC 7541, 6.2.2).
local function field(name, value)
  return "\0" .. string.char(#name) .. name .. string.char(#value) .. value
end

local function request_headers(path, extra)
  return field(":method", "POST") .. field(":scheme", "http") .. field(":path", path) .. field(":authority", "x")
    .. field("te", "trailers") .. field("content-type", "application/grpc") .. (extra or "")
end

describe("a host", function()
  local host, address
  before_each(function()
    host = process.troupe { "host", "--listen", "127.0.0.1:0" }
    address = select(2, host:wait_line("^listening (.*)$"))
    local worker = process.troupe { "worker", "--host", address, process.write_file(process.tmpdir() .. "/echo.lua",
      [[return { type = "echo", on = { Ask = function(_, message) return message end } }]]) }
    worker:wait_line("^joined")
  end)

  -- Somebody else's call, now.
  local function answers()
    local status, out, err = sh.troupe { "call", "echo", "Ask", '{"n":1}', "--host", address, "--timeout", "5" }
    assert.equal("", err)
    assert.equal('{"n":1}\n', out)
    assert.equal(0, status)
  end

  it("closes on an HTTP/1 request", function()
    local c = tcp.connect(address)
    c:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert.is_true(c:closed(5))
    answers()
  end)

  it("closes on garbage", function()
    local c = tcp.connect(address)
    c:write(("\255\0garbage\n"):rep(5000))
    assert.is_true(c:closed(5))
    answers()
  end)

  it("closes on garbage behind a good preface", function()
    local c = tcp.connect(address)
    c:write(preface .. settings .. ("\200"):rep(5000))
    assert.is_true(c:closed(5))
    answers()
  end)

  it("goes on answering beside 300 silent connections", function()
    local silent = {}
    for i = 1, 300 do silent[i] = tcp.connect(address) end
    answers()
    for i = 1, 300 do assert.is_false(silent[i].ended) end
  end)

  it("goes on answering beside 300 connections that said hello and nothing more", function()
    for _ = 1, 300 do tcp.connect(address):write(preface .. settings) end
    answers()
  end)

  it("ends a connection that resets its streams in a flood", function()
    local c = tcp.connect(address)
    c:write(preface .. settings)
    local headers = request_headers("/agents.AgentRpc/GetSubscriptions", field("client-id", "f"))
    local parts = {}
    for i = 0, 19999 do
      parts[#parts + 1] = frame(1, 4, 2 * i + 1, headers) .. frame(3, 0, 2 * i + 1, "\0\0\0\8")
    end
    c:write(table.concat(parts))
    assert.is_true(c:closed(10))
    answers()
  end)

  it("ends a connection that floods it with pings", function()
    local c = tcp.connect(address)
    c:write(preface .. settings .. frame(6, 0, 0, "12345678"):rep(50000))
    assert.is_true(c:closed(10))
    answers()
  end)

  it("ends a connection with endless CONTINUATION frames", function()
    local c = tcp.connect(address)
    c:write(preface .. settings .. frame(1, 0, 1, request_headers("/x"))
      .. frame(9, 0, 1, field("a", ("x"):rep(100)):rep(100)):rep(200))
    assert.is_true(c:closed(10))
    answers()
  end)

  it("refuses oversized headers alone", function()
    local c = tcp.connect(address)
    c:write(preface .. settings)
    local big = {}
    for i = 1, 300 do big[i] = field("k" .. i, ("v"):rep(100)) end
    local block = request_headers("/agents.AgentRpc/OpenChannel", field("client-id", "f")) .. table.concat(big)
    c:write(frame(1, 0, 1, block:sub(1, 16000)) .. frame(9, 4, 1, block:sub(16001)))
    answers()
  end)

  it("outlives 200 clients that come, speak half a sentence and go", function()
    for i = 1, 200 do
      local c = tcp.connect(address)
      c:write((preface .. settings .. frame(1, 4, 1, request_headers("/agents.AgentRpc/OpenChannel", field("client-id", "c" .. i))))
        :sub(1, i * 2))
      c:close()
    end
    answers()
    assert.is_true(host:running())
  end)

  it("ends with 0 and closes its connections when told to stop", function()
    local c = tcp.connect(address)
    c:write(preface .. settings)
    loop.run(function() return #c.received > 0 end, 5)
    host:kill("sigterm")
    assert.equal(0, (host:wait()))
    assert.is_true(c:closed(5))
  end)
end)
