# storage: see Makefile.am
