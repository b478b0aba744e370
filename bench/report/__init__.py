"""What is printed of cached runs; reads the store alone and never imports torch."""
