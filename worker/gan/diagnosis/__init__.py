"""What goes on between the two players: measurements now and then, and the rules that judge them."""
