"""Direction accuracy on motions made from photographs."""
