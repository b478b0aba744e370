"""The autoencoders: networks of the supplement's Table 1, and a loss for each method."""
