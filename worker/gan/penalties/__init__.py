"""What the discriminator minimises beside its loss: one module per idea, and the registry of their names."""
