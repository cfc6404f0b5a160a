"""The stage of the lifecycle that a cell without a tag seems to belong to, by what it calls.

The stages are those of Mehlin et al., *Towards energy-efficient Deep Learning* (2023,
arXiv:2303.01980). A cell is looked at once, when it starts, and what leaves this module is the
name of a stage or nothing, never a word of the source.
"""

from __future__ import annotations

import re
from functools import lru_cache

LOOKED_AT = 20_000
"""Characters of a cell that are read: what it does shows at its beginning, and a cell with a
megabyte of data in it must not be slow to start."""

INFRASTRUCTURE = "infrastructure"
DATA = "data"
MODELING = "modeling"
TRAINING = "training"
DEPLOYMENT = "deployment"
EVALUATION = "evaluation"
STAGES = (INFRASTRUCTURE, DATA, MODELING, TRAINING, DEPLOYMENT, EVALUATION)

_SEARCH = """
GridSearchCV( RandomizedSearchCV( HalvingGridSearchCV( HalvingRandomSearchCV( BayesSearchCV(
OptunaSearchCV( ParameterGrid( ParameterSampler( cross_val_score( cross_validate( AutoML(
create_study( study.optimize( suggest_float( suggest_int( suggest_categorical( fmin( gp_minimize(
forest_minimize( BayesianOptimization( Hyperband( RandomSearch( tuner.search( tune.run( Tuner(
TuneConfig( ASHAScheduler( hyperparameter_search( wandb.sweep( wandb.agent( lr_find(
"""
_DISTILLING = "kl_div( KLDivLoss( distillation_loss( distill( prepare_qat( prepare_qat_fx("
_FITTING = """
fit( partial_fit( fit_predict( fit_one_cycle( fine_tune( finetune( train( learn( backward(
zero_grad( apply_gradients( GradientTape( train_on_batch( value_and_grad( jax.grad(
apply_updates( optimizer.step( scaler.step( optimizer.minimize( xgb.cv( lgb.cv( begin_training(
nlp.update( Word2Vec( Doc2Vec( models.FastText( gensim.models.FastText( LdaModel( LdaMulticore(
train_unsupervised( train_supervised( pm.sample( torchrun deepspeed train.py finetune.py
"""
_SHRINKING = """
quantize( quantize_dynamic( quantize_static( quantize_model( get_default_qconfig(
quantization.convert( BitsAndBytesConfig( GPTQConfig( AwqConfig( l1_unstructured( ln_structured(
random_unstructured( global_unstructured( prune_low_magnitude( prune.remove( onnx.export(
torch.onnx.export( torch.export.export( convert_sklearn( to_onnx( torch.jit.script(
torch.jit.trace( jit.script( jit.trace( optimize_for_mobile( TFLiteConverter from_keras_model(
from_saved_model( InferenceSession( tensorrt torch_tensorrt openvino ov.convert_model(
ct.convert( FastAPI( Flask( gr.Interface( gr.Blocks( launch( uvicorn.run( pipeline(
model.generate( llm.generate( llm.chat( SamplingParams( StableDiffusionPipeline.from_pretrained(
DiffusionPipeline.from_pretrained( batch_predict( invoke_endpoint( pipe(
AutoPipelineForText2Image.from_pretrained( from_single_file( load_lora_weights( predict.py
serve.py
"""
_JUDGING = """
predict( predict_proba( predict_generator( decision_function( score( evaluate( eval( test(
validate( forecast( get_forecast( inference_mode( no_grad( cross_val_predict( score_samples(
classification_report( confusion_matrix( multilabel_confusion_matrix( ConfusionMatrixDisplay(
from_predictions( from_estimator( accuracy_score( balanced_accuracy_score( f1_score( fbeta_score(
precision_score( recall_score( roc_auc_score( roc_curve( RocCurveDisplay( precision_recall_curve(
average_precision_score( auc( log_loss( brier_score_loss( cohen_kappa_score( matthews_corrcoef(
mean_squared_error( root_mean_squared_error( mean_absolute_error( mean_absolute_percentage_error(
median_absolute_error( r2_score( explained_variance_score( silhouette_score( adjusted_rand_score(
normalized_mutual_info_score( permutation_importance( learning_curve( validation_curve(
calibration_curve( shap_values( TreeExplainer( KernelExplainer( DeepExplainer( summary_plot(
LimeTabularExplainer( explain_instance( corpus_bleu( sentence_bleu( corpus_score( RougeScorer(
compute_metrics( evaluate_policy( ttest_rel( wilcoxon( plot_importance( compare(
FlopCountAnalysis( get_model_complexity_info( load_metric( evaluate.load( evaluate.py eval.py
test.py
"""
_READING = """
read_csv( read_excel( read_parquet( read_json( read_table( read_sql( read_sql_query(
read_feather( read_hdf( read_pickle( read_html( scan_parquet( scan_csv( spark.sql( load_dataset(
load_data( make_classification( make_regression( make_blobs( make_moons( loadtxt( genfromtxt(
to_csv( to_parquet( to_feather( open_dataset( open_zarr( imread( imdecode( Image.open(
image_dataset_from_directory( flow_from_directory( flow_from_dataframe( ImageDataGenerator(
TFRecordDataset( from_tensor_slices( tfds.load( AUTOTUNE prefetch( train_test_split(
random_split( fit_transform( transform( inverse_transform( adapt( fit_resample( scaler.fit(
encoder.fit( imputer.fit( vectorizer.fit( tokenizer.fit( DataLoader( TensorDataset( ImageFolder(
Dataset Dataset( Subset( WeightedRandomSampler( Compose( RandomCrop( RandomResizedCrop(
RandomHorizontalFlip( HorizontalFlip( ToTensor( ToTensorV2( ColorJitter( RandAugment( RandomFlip(
RandomRotation( LightningDataModule ImageDataLoaders DataBlock( TextVectorization( fit_on_texts(
texts_to_sequences( pad_sequences( word_tokenize( sent_tokenize( BeautifulSoup(
SentenceTransformer( AutoTokenizer.from_pretrained( tokenizer.encode( batch_encode_plus(
CountVectorizer( TfidfVectorizer( HashingVectorizer( KNNImputer( SimpleImputer( get_dummies(
drop_duplicates( dropna( fillna( isnull( isna( merge( merge_asof( groupby( groupBy( group_by(
pivot_table( melt( resample( rolling( explode( value_counts( nunique( describe( crosstab( pd.cut(
qcut( to_datetime( to_numeric( pd.concat( pl.concat( with_columns( librosa.load( torchaudio.load(
melspectrogram( mfcc( wget curl unzip kaggle gdown urlretrieve( extractall( snapshot_download(
hf_hub_download( parse_example( parse_single_example( build_vocab( build_vocab_from_iterator(
GloVe(
"""
_DEFINING = """
Module LightningModule Sequential( ModuleList( ModuleDict( Model( keras.Model Conv1d( Conv2d(
Linear( LSTM( GRU( Embedding( Conv1D( Conv2D( Dense( MultiheadAttention( MultiHeadAttention(
TransformerEncoder( TransformerEncoderLayer( GCNConv( GATConv( model.summary( plot_model(
model.compile( build_model( create_model( make_model( get_model( get_peft_model( LoraConfig(
prepare_model_for_kbit_training( from_config( from_pretrained( hub.load( KerasLayer( resnet18(
resnet34( resnet50( resnet101( vgg16( VGG16( ResNet50( MobileNetV2( EfficientNetB0(
efficientnet_b0( mobilenet_v2( densenet121( InceptionV3( Xception( vit_b_16( CrossEntropyLoss(
BCELoss( BCEWithLogitsLoss( MSELoss( NLLLoss( Adam( AdamW( SGD( RMSprop( optax.adam( optax.adamw(
optax.sgd( optax.chain( CosineAnnealingLR( StepLR( OneCycleLR( ReduceLROnPlateau( Pipeline(
make_pipeline( ColumnTransformer( make_column_transformer( FeatureUnion( VotingClassifier(
StackingClassifier( StackingRegressor( RandomForestClassifier( RandomForestRegressor(
GradientBoostingClassifier( GradientBoostingRegressor( HistGradientBoostingClassifier(
HistGradientBoostingRegressor( LogisticRegression( LinearRegression( Ridge( Lasso( ElasticNet(
SVC( SVR( KNeighborsClassifier( DecisionTreeClassifier( MLPClassifier( MLPRegressor(
XGBClassifier( XGBRegressor( LGBMClassifier( LGBMRegressor( CatBoostClassifier(
CatBoostRegressor( KMeans( Prophet( SARIMAX( ARIMA( print_trainable_parameters( requires_grad
"""
_PREPARING_TO_FIT = "Trainer( TrainingArguments( EarlyStopping( ModelCheckpoint( GradScaler("
_SAVING = """
torch.save( joblib.dump( pickle.dump( cloudpickle.dump( dill.dump( save_pretrained( save_model(
save_weights( model.save( push_to_hub( log_model( register_model( load_state_dict( load_model(
load_weights( joblib.load( torch.load( docker
"""
_LOOKING_BACK = """
history.history hist.history history.epoch best_score_ best_params_ feature_importances_ y_pred
y_hat
"""
_LOOKING_AT_DATA = """
DataFrame( Series( head( tail( df.info( corr( pairplot( histplot( countplot( boxplot( violinplot(
scatterplot( heatmap( kdeplot( jointplot( catplot( scatter_matrix( plot.bar( plot.hist( hist(
astype( drop( assign( sort_values( set_index( reset_index( nlargest( StandardScaler(
MinMaxScaler( RobustScaler( OneHotEncoder( LabelEncoder( OrdinalEncoder( PowerTransformer( PCA(
SelectKBest( np.load( np.save( np.savez( np.stack( sliding_window_view( to_tensor( Normalize(
resize( interpolate(
"""
_SETTING_UP = """
pip conda mamba apt smi lscpu git load_ext autoreload is_available( get_device_name(
device_count( set_device( set_num_threads( set_num_interop_threads( set_default_device(
set_float32_matmul_precision( manual_seed( manual_seed_all( seed_everything( set_seed(
random.seed( np.random.seed( set_random_seed( cudnn.benchmark torch.backends.cudnn.benchmark
set_memory_growth( list_physical_devices( set_global_policy( MirroredStrategy( TPUStrategy(
init_process_group( jax.devices( os.environ drive.mount( getOrCreate( LocalCluster(
LocalCUDACluster( ray.init( wandb.init( wandb.login( notebook_login( mlflow.set_experiment(
mlflow.start_run( set_theme( style.use( plt.style.use( filterwarnings( pd.set_option(
logging.basicConfig( Accelerator( empty_cache( EmissionsTracker(
"""

_RANKED = (
    (MODELING, _SEARCH),  # fits its models many times over
    (DEPLOYMENT, _DISTILLING),  # trains the student that is deployed in its teacher's place
    (TRAINING, _FITTING),
    (DEPLOYMENT, _SHRINKING),  # or turning into another form, or serving
    (EVALUATION, _JUDGING),
    (DATA, _READING),
    (MODELING, _DEFINING),
    (TRAINING, _PREPARING_TO_FIT),
    (DEPLOYMENT, _SAVING),
    (EVALUATION, _LOOKING_BACK),
    (DATA, _LOOKING_AT_DATA),
    (INFRASTRUCTURE, _SETTING_UP),
)
"""Words that speak for a stage, those first after which most energy goes. One that ends in ( must
be called. One with dots counts with its owner, before the same without; others count whoever owns
them."""

_RANK = {word.encode(): rank for rank, (_, words) in enumerate(_RANKED) for word in words.split()}
_NO_RANK = len(_RANKED)

_VERBS = {
    verb.encode(): _RANK[like]
    for like, verbs in (
        (b"fit(", "train fit"),
        (b"distill(", "distill"),
        (b"quantize(", "quantize prune"),
        (b"evaluate(", "evaluate eval validate"),
        (b"read_csv(", "load fetch split prepare preprocess clean normalize tokenize augment"),
    )
    for verb in verbs.split()
}
"""The first word in the name of a function of the user's own: ``train_one_epoch``."""

_NOT_CODE = re.compile(
    rb"""
    "(?: "{2}[\s\S]*?(?:"{3}|\Z) | (?:[^"\\\n]+|\\[\s\S])*+ "? )
  | '(?: '{2}[\s\S]*?(?:'{3}|\Z) | (?:[^'\\\n]+|\\[\s\S])*+ '? )
  | \#[^\n]*+
    """,
    re.VERBOSE,
)
"""Strings, which may be broken off, and comments."""

_BLANK, _OTHER_LETTER = 0x20, ord("?")
_IN_WORDS = re.compile(rb"[\w.(\s]")
_PLAIN = bytes(
    ord("_") if code == _OTHER_LETTER else code if _IN_WORDS.match(bytes([code])) else _BLANK
    for code in range(256)
)
"""Leaves of ASCII what words are made of."""

_CELL_MAGIC = re.compile(r"\s*%%(\w+).*\n?")
_IMPORT = re.compile(rb"^[ \t]*(?:import|from)[ \t]", re.MULTILINE)
_LINE = re.compile(rb"^[ \t]*\S", re.MULTILINE)

_FITTED_TO_DATA = re.compile(
    rb"(?:Scaler|Encoder|Imputer|Vectorizer|Transformer|Discretizer|PCA)\([^(\n]*? \.fit\("
)
"""What prepares the data has a ``fit`` of its own, which trains nothing."""

_QUERIES = frozenset({"sql", "bigquery", "sparksql"})
_NO_CODE = frozenset(
    {"html", "HTML", "markdown", "latex", "svg", "SVG", "javascript", "js", "writefile", "file"}
)


def suggested_stage(source: str) -> str | None:
    """One of :data:`STAGES`, or None where the cell does not show what it is for.

    A cell that does several things gets the stage in which most of its energy goes. Only code
    counts, not strings and comments. It need not be valid Python: cells hold magics, and broken
    code is not run. Never raises, and takes some microseconds a kilobyte of source.
    """
    text = source[:LOOKED_AT]
    magic = _CELL_MAGIC.match(text)
    if magic is not None:
        if magic[1] in _NO_CODE:
            return None
        if magic[1] in _QUERIES:
            return DATA
        text = text[magic.end() :]
    code = _code(text)
    words = set(code.replace(b"(", b"( ").split())
    if b".fit(" in words and _FITTED_TO_DATA.search(code):
        words.discard(b".fit(")
    rank = min(map(_rank, words), default=_NO_RANK)
    if rank < _NO_RANK:
        return _RANKED[rank][0]
    return INFRASTRUCTURE if b"import" in words and _imports(code) else None


def _code(text: str) -> bytes:
    """The names in it and what they call, on their lines; all else is blank."""
    # The letters of other alphabets become question marks, and these, as letters do, an underscore.
    ascii_only = text.encode("ascii", "replace")
    return b" ".join(_NOT_CODE.split(ascii_only)).translate(_PLAIN)


@lru_cache(maxsize=4000)  # the cells of a notebook share most of their words
def _rank(word: bytes) -> int:
    """Of a word as it stands, else of its last name, else of the verb that this begins with."""
    rank = _RANK.get(word)
    if rank is None:
        name = word.rpartition(b".")[2]
        rank = _RANK.get(name)
        if rank is None:
            is_called = name[-1:] == b"("
            return _VERBS.get(name.partition(b"_")[0], _NO_RANK) if is_called else _NO_RANK
    return rank


def _imports(code: bytes) -> bool:
    """Most of its lines do nothing but that."""
    return 2 * len(_IMPORT.findall(code)) > len(_LINE.findall(code))
