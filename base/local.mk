# base: see Makefile.am
