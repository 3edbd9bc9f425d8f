"""What happens between a question and the model's call, one file each."""
