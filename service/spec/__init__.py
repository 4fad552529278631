"""The only description of a training job's inputs, free of torch: bounds, defaults, data sets, networks, recipes."""
