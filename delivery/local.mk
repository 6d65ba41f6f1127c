# delivery: see Makefile.am
