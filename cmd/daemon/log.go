package main

import "go.uber.org/zap/zapcore"

// zapLevel turns logr's verbosity into zap's levels, which count the other way.
func zapLevel(verbosity int) zapcore.Level { return zapcore.Level(-verbosity) }
