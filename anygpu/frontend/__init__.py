"""From Python source to typed KERNEL IR."""
