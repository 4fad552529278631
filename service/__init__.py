"""The records and the contract of Ganymede, and the web application that serves them."""
