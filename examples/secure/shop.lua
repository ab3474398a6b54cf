-- Sells, and says so. Its worker has the certificate of `shop`, which may register this type and publish on this topic.
return {
  type = "shop",
  state = { left = 3 },
  on = {
    Buy = function(self, message, ctx)
      if self.left == 0 then error("sold out") end
      self.left = self.left - 1
      ctx:publish("sales", "Sold", { what = message.what, left = self.left })
      return { bought = message.what }
    end,
  },
}
