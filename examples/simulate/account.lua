-- An account books each payment once, however often it is asked to: a connection may break behind a request, and before its answer.
return {
  state = { balance = 0, booked = {} },
  on = {
    Pay = function(self, message)
      if not self.booked[message.id] then
        self.booked[message.id] = true
        self.balance = self.balance + message.sum
      end
      return { balance = self.balance }
    end,
  },
}
