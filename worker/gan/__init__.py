"""GAN training in pure torch: losses, networks, data, the loop. It knows no job, no web, no database."""
