-- A till pays in what it sold, and asks until it is told that it was booked.
return {
  on = {
    Sell = function(_, message, ctx)
      while not ctx:pcall("account/shop", "Pay", message, { timeout = 5 }) do ctx:sleep(1) end
    end,
  },
}
