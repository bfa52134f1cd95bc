// The fixed-width types are built in.
