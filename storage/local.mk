# storage: see Makefile.am

# What the classifier learned: control writes it, filter reads it. Link it before STORAGE_LIBS.
noinst_LIBRARIES += storage/libscore.a
storage_libscore_a_SOURCES = storage/score.c storage/score.h
SCORE_LIBS = storage/libscore.a
