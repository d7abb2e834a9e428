_PVC_COMPLETE=fish_source pvc | source
