"""What the servers of this package share: limits on requests and pictures, and the socket that they listen on."""
