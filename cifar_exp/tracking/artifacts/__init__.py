"""What a run holds beside numbers: its model, its predictions, its data set."""
