"""AWS on a laptop: ministack, with an overlay that makes real what it only pretends."""
