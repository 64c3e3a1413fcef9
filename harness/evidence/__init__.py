"""Pure statistics: values in, values out. Nothing here knows what a model is."""
