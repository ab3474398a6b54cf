--! FILE:4: mailbox.overflow must be "wait", "refuse" or "drop_oldest"
return {
  mailbox = {
    overflow = "drop",
  },
}
