module tachyon-ipc

go 1.24
