"""The commands of the console script, one module per topic. They import what they start only when they run."""
