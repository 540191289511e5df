module github.com/woven-cni/woven

go 1.26.0
