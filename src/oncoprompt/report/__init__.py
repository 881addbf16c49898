"""What a person reads: figures to judge a segmentation by, summaries and tables of volumes and counts."""
