"""Public names without support. Written by `tools/coverage.py --write`: do not edit."""

from __future__ import annotations

#: Modules that have no code in the shim.
MODULES = """\
cuda.texture cupyx.distributed cupyx.distributed.array cupyx.jit.thrust cupyx.tools
"""

#: Module -> names in it, those below an unsupported class left out.
NAMES: dict[str, str] = {
    "": """\
ndarray.__delitem__ ndarray.__div__ ndarray.__hex__ ndarray.__idiv__ ndarray.__oct__
""",
    "cuda": """\
Device.cutensor_handle
""",
    "cuda.cufft": """\
multi_gpu_execC2C multi_gpu_execZ2Z setCallback setJITCallback
""",
    "cuda.cusolver": """\
ccsreigvsi ccsrlsvchol ccsrlsvqr cgebrd cgebrd_bufferSize csytrf csytrf_bufferSize dcsreigvsi dcsrlsvchol dcsrlsvqr dgebrd
dgebrd_bufferSize dsytrf dsytrf_bufferSize scsreigvsi scsrlsvchol scsrlsvqr sgebrd sgebrd_bufferSize ssytrf
ssytrf_bufferSize xgeev xgeev_bufferSize zcsreigvsi zcsrlsvchol zcsrlsvqr zgebrd zgebrd_bufferSize zsytrf zsytrf_bufferSize
""",
    "cuda.cusparse": """\
CooAoSAttributes CooAttributes CsrAttributes DnMatAttributes DnMatBatchAttributes DnVecAttributes SpVecAttributes cbsric02
cbsric02_analysis cbsric02_bufferSize cbsrilu02 cbsrilu02_analysis cbsrilu02_bufferSize cbsrilu02_numericBoost
ccsr2csr_compress ccsrgeam2 ccsrgeam2_bufferSizeExt ccsric02 ccsric02_analysis ccsric02_bufferSize ccsrilu02
ccsrilu02_analysis ccsrilu02_bufferSize ccsrilu02_numericBoost cgpsvInterleavedBatch cgpsvInterleavedBatch_bufferSizeExt
cgtsv2 cgtsv2StridedBatch cgtsv2StridedBatch_bufferSizeExt cgtsv2_bufferSizeExt cgtsv2_nopivot cgtsv2_nopivot_bufferSizeExt
cgtsvInterleavedBatch cgtsvInterleavedBatch_bufferSizeExt cnnz cnnz_compress cooGet createBsric02Info createBsrilu02Info
createCoo createCsc createCsr createCsric02Info createCsrilu02Info createDnMat createDnVec createIdentityPermutation
createMatDescr createSpVec csr2cscEx2 csr2cscEx2_bufferSize csrGet csrSetPointers dbsric02 dbsric02_analysis
dbsric02_bufferSize dbsrilu02 dbsrilu02_analysis dbsrilu02_bufferSize dbsrilu02_numericBoost dcsr2csr_compress dcsrgeam2
dcsrgeam2_bufferSizeExt dcsric02 dcsric02_analysis dcsric02_bufferSize dcsrilu02 dcsrilu02_analysis dcsrilu02_bufferSize
dcsrilu02_numericBoost denseToSparse_analysis denseToSparse_bufferSize denseToSparse_convert destroyBsric02Info
destroyBsrilu02Info destroyCsric02Info destroyCsrilu02Info destroyDnMat destroyDnVec destroyMatDescr destroySpMat
destroySpVec dgpsvInterleavedBatch dgpsvInterleavedBatch_bufferSizeExt dgtsv2 dgtsv2StridedBatch
dgtsv2StridedBatch_bufferSizeExt dgtsv2_bufferSizeExt dgtsv2_nopivot dgtsv2_nopivot_bufferSizeExt dgtsvInterleavedBatch
dgtsvInterleavedBatch_bufferSizeExt dnMatGet dnMatGetStridedBatch dnMatGetValues dnMatSetStridedBatch dnMatSetValues
dnVecGet dnVecGetValues dnVecSetValues dnnz dnnz_compress gather sbsric02 sbsric02_analysis sbsric02_bufferSize sbsrilu02
sbsrilu02_analysis sbsrilu02_bufferSize sbsrilu02_numericBoost scsr2csr_compress scsrgeam2 scsrgeam2_bufferSizeExt scsric02
scsric02_analysis scsric02_bufferSize scsrilu02 scsrilu02_analysis scsrilu02_bufferSize scsrilu02_numericBoost
setMatDiagType setMatFillMode setMatIndexBase setMatType sgpsvInterleavedBatch sgpsvInterleavedBatch_bufferSizeExt sgtsv2
sgtsv2StridedBatch sgtsv2StridedBatch_bufferSizeExt sgtsv2_bufferSizeExt sgtsv2_nopivot sgtsv2_nopivot_bufferSizeExt
sgtsvInterleavedBatch sgtsvInterleavedBatch_bufferSizeExt snnz snnz_compress spGEAM spGEAM_bufferSize spGEAM_createDescr
spGEAM_destroyDescr spGEAM_nnz spGEMM_compute spGEMM_copy spGEMM_createDescr spGEMM_destroyDescr spGEMM_workEstimation spMM
spMM_bufferSize spMV spMV_bufferSize spMatGetFormat spMatGetIndexBase spMatGetSize spMatGetStridedBatch spMatGetValues
spMatSetAttribute spMatSetValues spSM_analysis spSM_bufferSize spSM_createDescr spSM_destroyDescr spSM_solve spVV
spVV_bufferSize spVecGet spVecGetIndexBase spVecGetValues spVecSetValues sparseToDense sparseToDense_bufferSize
xbsric02_zeroPivot xbsrilu02_zeroPivot xcoo2csr xcoosortByColumn xcoosortByRow xcoosort_bufferSizeExt xcscsort
xcscsort_bufferSizeExt xcsr2coo xcsrgeam2Nnz xcsric02_zeroPivot xcsrilu02_zeroPivot xcsrsort xcsrsort_bufferSizeExt zbsric02
zbsric02_analysis zbsric02_bufferSize zbsrilu02 zbsrilu02_analysis zbsrilu02_bufferSize zbsrilu02_numericBoost
zcsr2csr_compress zcsrgeam2 zcsrgeam2_bufferSizeExt zcsric02 zcsric02_analysis zcsric02_bufferSize zcsrilu02
zcsrilu02_analysis zcsrilu02_bufferSize zcsrilu02_numericBoost zgpsvInterleavedBatch zgpsvInterleavedBatch_bufferSizeExt
zgtsv2 zgtsv2StridedBatch zgtsv2StridedBatch_bufferSizeExt zgtsv2_bufferSizeExt zgtsv2_nopivot zgtsv2_nopivot_bufferSizeExt
zgtsvInterleavedBatch zgtsvInterleavedBatch_bufferSizeExt znnz znnz_compress
""",
    "cuda.device": """\
get_cutensor_handle
""",
    "cuda.driver": """\
ctxCreate ctxDestroy devicePrimaryCtxRelease launchCooperativeKernel launchKernel linkAddData linkAddFile linkComplete
linkCreate linkDestroy occupancyMaxActiveBlocksPerMultiprocessor occupancyMaxPotentialBlockSize
""",
    "cuda.function": """\
LinkState.add_ptr_data LinkState.add_ptr_file LinkState.complete LinkState.ptr
""",
    "cuda.nccl": """\
NcclCommunicator get_build_version get_unique_id get_version groupEnd groupStart
""",
    "cuda.nvrtc": """\
getLTOIR
""",
    "cuda.runtime": """\
createSurfaceObject createTextureObject destroySurfaceObject destroyTextureObject freeArray ipcCloseMemHandle
ipcGetEventHandle ipcGetMemHandle ipcOpenEventHandle ipcOpenMemHandle malloc3DArray mallocArray memcpy2DFromArray
memcpy2DFromArrayAsync memcpy2DToArray memcpy2DToArrayAsync memcpy3D memcpy3DAsync
""",
    "cuda.texture": """\
CUDARuntimeError CUDAarray ChannelFormatDescriptor ResourceDescriptor SurfaceObject TextureDescriptor TextureObject
""",
    "cupyx.cusparse": """\
BaseDescriptor DnMatDescriptor DnVecDescriptor SpMatDescriptor SpVecDescriptor
""",
    "cupyx.distributed": """\
NCCLBackend init_process_group
""",
    "cupyx.distributed.array": """\
DistributedArray MAX MIN Mode PROD REPLICA SUM distributed_array make_2d_index_map matmul
""",
    "cupyx.jit": """\
_interface._JitRawKernel
""",
    "cupyx.jit.cg": """\
_GridGroup _ThreadBlockGroup
""",
    "cupyx.jit.thrust": """\
adjacent_difference binary_search copy count device equal equal_range exclusive_scan exclusive_scan_by_key fill find gather
host inclusive_scan inclusive_scan_by_key inner_product is_sorted is_sorted_until lower_bound make_constant_iterator
make_counting_iterator mismatch reduce reduce_by_key remove remove_copy replace replace_copy reverse reverse_copy scatter
seq sequence set_difference set_difference_by_key set_intersection set_intersection_by_key set_symmetric_difference
set_symmetric_difference_by_key set_union set_union_by_key sort sort_by_key stable_sort stable_sort_by_key swap_ranges
unique unique_by_key upper_bound
""",
    "cupyx.tools": """\

""",
    "fft.config": """\
set_cufft_callbacks
""",
    "random": """\
MRG32k3a.state Philox4x3210.state XORWOW.state
""",
}
