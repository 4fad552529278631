"""How the discriminator is shown samples, reals and fakes alike."""
