"""What lanes are made of: one model's loss and gradient for many trainings, traced once and run on memory of their own."""
