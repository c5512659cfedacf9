"""What a Bort is: architectures, heads, the table of names, the inventory of targets. Data, no input or output."""
