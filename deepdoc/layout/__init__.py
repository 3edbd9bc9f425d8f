"""Where text stands on a page: lines to paragraphs in reading order."""
