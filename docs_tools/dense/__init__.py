"""A detector and a segmenter of digits on canvases, trained here and converted; their pictures."""
