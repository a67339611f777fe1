//! Every function of the CUDA runtime API, declared once.
