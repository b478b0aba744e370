"""What is measured of a trained model: reconstruction, rank, samples and their distances."""
