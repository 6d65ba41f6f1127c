# admin: see Makefile.am
