"""The questions of the paper as experiments: what each part, prompt and channel is worth on one's own cases."""
