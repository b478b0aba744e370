"""What a trained model is measured by: reconstruction, latent rank, Fréchet distance."""
