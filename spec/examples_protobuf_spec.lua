-- examples/protobuf: it runs, and its descriptor set is what protoc makes of its schema.
local sh = require "spec.support.sh"
local process = require "spec.support.process"

describe("examples/protobuf", function()
  it("runs: orders in protobuf, and what does not fit is said with its field", function()
    local status, out, err = sh.troupe { "run", "examples/protobuf/orders.lua" }
    assert.equal(0, status, err)
    assert.equal([[
asked: o1, 2 lines, 7 items
shop.Receipt	o1	7	SHIPPED
invalid: shop.Order: id: expected a string (UTF-8), got the integer 7
invalid: shop.Order: lines[2]: shop.Order.Line has no field "cuont" (did you mean "count"?)
invalid: shop.Order: most: expected an int64, got the number 2.5
heard: o2, 0 lines, 0 items
]], out)
  end)

  it("is at most 40 lines", function()
    local _, lines = process.read_file("examples/protobuf/orders.lua"):gsub("\n", "")
    assert.is_true(lines <= 40, lines .. " lines")
  end)

  it("has the descriptor set that protoc makes of order.proto", function()
    local path = os.tmpname()
    local status, out = sh(("protoc -Iexamples/protobuf --include_imports --descriptor_set_out=%s order.proto 2>&1"):format(path))
    assert.equal(0, status, out)
    local made = process.read_file(path)
    os.remove(path)
    assert.is_true(made == process.read_file("examples/protobuf/order.desc"), "order.desc is not of this order.proto")
  end)
end)

describe("--protobuf", function()
  local DESC = "examples/protobuf/order.desc"

  it("refuses what is no descriptor set, and what is not there", function()
    local status, _, err = sh.troupe { "run", "--protobuf", "examples/protobuf/order.proto", "examples/hello/greeter.lua" }
    assert.equal(1, status)
    assert.equal("troupe: run: --protobuf: examples/protobuf/order.proto: descriptor set: malformed: not a descriptor set\n", err)
    status, _, err = sh.troupe { "host", "--listen", "127.0.0.1:0", "--protobuf", DESC .. ",none.desc" }
    assert.equal(1, status)
    assert.equal("troupe: host: --protobuf: none.desc: No such file or directory\n", err)
  end)

  it("call and publish send types that it brings as protobuf; subscribe reads them", function()
    local host = process.troupe { "host", "--listen", "127.0.0.1:0" }
    local _, address = host:wait_line("^listening (%S+)$")
    local worker = process.troupe { "worker", "--host", address, "--protobuf", DESC, "spec/interop/agents/orders.lua", "--", "clerk" }
    worker:wait_line("^joined")
    local status, out, err = sh.troupe { "call", "clerk", "shop.Order", '{"id":"x","lines":[{"item":"nut","count":2}]}', "--protobuf", DESC,
                                         "--wait", "clerk", "--host", address }
    assert.equal(0, status, err)
    assert.equal('{"id":"x","items":2,"state":"OPEN"}\n', out)
    status, _, err = sh.troupe { "call", "clerk", "shop.Order", '{"lines":[{"count":"two"}]}', "--protobuf", DESC, "--host", address }
    assert.equal(1, status)
    assert.equal("troupe: call: invalid: shop.Order: lines[1].count: expected an int32 (-2^31 to 2^31-1), got the string \"two\"\n", err)
    local known = process.troupe { "subscribe", "orders", "--protobuf", DESC, "--count", "1", "--host", address }
    local unknown = process.troupe { "subscribe", "orders", "--count", "1", "--host", address }
    known:wait_line("^joined")
    unknown:wait_line("^joined")
    status, _, err = sh.troupe { "publish", "orders/k", "shop.Order", '{"id":"y"}', "--protobuf", DESC, "--host", address }
    assert.equal(0, status, err)
    known:wait_line('^orders/k shop%.Order {"id":"y","lines":%[%],"notes":{}}$')
    unknown:wait_line('^orders/k shop%.Order {"type_url":"type.googleapis.com/shop.Order","value":"CgF5"}$')
  end)
end)
