"""Every query and state change as a plain function that takes a session first and never commits."""
