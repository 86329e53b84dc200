"""How Redis is reached: standalone, Sentinel or Cluster behind one port, and what its servers promise."""
