"""Plan's steps: size and rate of the output, the look at the page, the inventories of its media, and the cut into chunks."""
