"""What an optimizer does, seen from outside: designed gradients go in, parameters come out."""
