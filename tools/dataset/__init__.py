"""What a sample file tells of its dataset, and the files that a dataset begins with. See tools/new_dataset.py."""
