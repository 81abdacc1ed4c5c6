"""What the lake is made of on AWS, and the commands that make it and take it away."""
