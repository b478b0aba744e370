"""The measurements of a trained model: reconstruction, latent rank, Fréchet distance."""
