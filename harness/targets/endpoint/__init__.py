"""Hosted endpoints: how one is addressed, asked, and made to show the prompt that it makes of a request."""
