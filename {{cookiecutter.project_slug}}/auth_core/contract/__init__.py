"""What this project promises to its clients and withstands from others, as tests over its real URLs."""
