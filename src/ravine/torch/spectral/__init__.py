"""What a measured curvature is made of: products with the Hessian, and the ends of its spectrum."""
