"""Models of the user's own, in torch: made anew for every draw and watched from outside."""
